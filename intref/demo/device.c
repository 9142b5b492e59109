/* A small accelerator, in C: the ops of a token-wise int8 encoder, written from their specification alone.

       cc -O2 -shared -fPIC -o right.so device.c
       cc -O2 -shared -fPIC -DROUND=HALF_AWAY -o wrong.so device.c

   The second one rounds the ties of rescale_token away from zero: a mistake that one output in some hundreds shows. */

#include <stdint.h>
#include <string.h>

enum { FLOOR, CEIL, TOWARD_ZERO, ODD, HALF_UP, HALF_DOWN, HALF_AWAY, HALF_TO_ZERO, HALF_EVEN };
enum { INT8, UINT8, INT16, INT32, INT64 };
enum { DONE, UNSUPPORTED, FAILED };

#ifndef ROUND
#define ROUND HALF_UP
#endif

typedef struct { void *data; int32_t dtype; int32_t ndim; int64_t shape[8]; } intref_tensor;
typedef struct { int na; const char **names; const int64_t *values; const intref_tensor *in; intref_tensor *out; } call;

static int64_t get(const intref_tensor *t, int64_t i) {
    switch (t->dtype) {
    case INT8: return ((const int8_t *)t->data)[i];
    case UINT8: return ((const uint8_t *)t->data)[i];
    case INT16: return ((const int16_t *)t->data)[i];
    case INT32: return ((const int32_t *)t->data)[i];
    default: return ((const int64_t *)t->data)[i];
    }
}

static void put(intref_tensor *t, int64_t i, int64_t v) {
    switch (t->dtype) {
    case INT8: ((int8_t *)t->data)[i] = (int8_t)v; break;
    case UINT8: ((uint8_t *)t->data)[i] = (uint8_t)v; break;
    case INT16: ((int16_t *)t->data)[i] = (int16_t)v; break;
    case INT32: ((int32_t *)t->data)[i] = (int32_t)v; break;
    default: ((int64_t *)t->data)[i] = v; break;
    }
}

static int64_t size(const intref_tensor *t) {
    int64_t n = 1;
    for (int i = 0; i < t->ndim; i++) n *= t->shape[i];
    return n;
}

static int64_t dim(const intref_tensor *t, int fromend) { return t->shape[t->ndim - fromend]; }

/* Constants of length 1 serve every channel. */
static int64_t channel(const intref_tensor *t, int64_t c) { return get(t, t->shape[0] == 1 ? 0 : c); }

static int64_t attr(const call *c, const char *name) {
    for (int i = 0; i < c->na; i++)
        if (strcmp(c->names[i], name) == 0) return c->values[i];
    return 0;
}

static int64_t asr(int64_t x, int s) { return s > 62 ? -(x < 0) : x >= 0 ? x >> s : ~(~x >> s); }

static int64_t floor_div(int64_t n, int64_t d) { return n / d - (n % d != 0 && (n < 0) != (d < 0)); }

static int64_t clip(int64_t v, int64_t low, int64_t high) { return v < low ? low : v > high ? high : v; }

static int bits(uint64_t v) {
    int n = 0;
    for (; v; v >>= 1) n++;
    return n;
}

/* x / 2**s, |x| < 2**62, by one of the nine rules. */
static int64_t round_shift(int64_t x, int s, int rule) {
    int64_t q = asr(x, s), rest, half;
    if (s == 0) return x;
    if (s > 62) { /* less than a half in magnitude */
        rest = x != 0;
        half = x < 0 ? 0 : 2;
    } else {
        rest = x - q * ((int64_t)1 << s);
        half = (int64_t)1 << (s - 1);
    }
    switch (rule) {
    case FLOOR: return q;
    case CEIL: return q + (rest > 0);
    case TOWARD_ZERO: return q + (rest > 0 && q < 0);
    case ODD: return q + (rest > 0 && q % 2 == 0);
    case HALF_UP: return q + (rest >= half);
    case HALF_DOWN: return q + (rest > half);
    case HALF_AWAY: return q + (rest > half || (rest == half && q >= 0));
    case HALF_TO_ZERO: return q + (rest > half || (rest == half && q < 0));
    default: return q + (rest > half || (rest == half && q % 2 != 0));
    }
}

static int embedding(const call *c) {
    int64_t width = dim(&c->in[1], 1), n = size(&c->in[0]);
    for (int64_t i = 0; i < n; i++)
        for (int64_t d = 0; d < width; d++) put(c->out, i * width + d, get(&c->in[1], get(&c->in[0], i) * width + d));
    return DONE;
}

static int positions(const call *c) {
    int64_t width = dim(c->in, 1), n = size(c->in), start = attr(c, "start"), count = attr(c, "form") == 1;
    for (int64_t row = 0; row < n; row += width) {
        int64_t seen = 0, sum = 0;
        for (int64_t t = row; t < row + width; t++) {
            int64_t m = get(c->in, t);
            seen |= m;
            sum += count ? m : seen;
            put(c->out, t, start + (count ? (m ? sum - 1 : -1) : sum > 0 ? sum - 1 : 0));
        }
    }
    return DONE;
}

static int mean_pool(const call *c) {
    int64_t width = dim(c->in, 1), tokens = dim(c->in, 2), batch = size(&c->in[1]) / tokens;
    for (int64_t b = 0; b < batch; b++)
        for (int64_t d = 0; d < width; d++) {
            int64_t n = 0, sum = 0;
            for (int64_t t = 0; t < tokens; t++)
                if (get(&c->in[1], b * tokens + t)) n++, sum += get(c->in, (b * tokens + t) * width + d);
            if (n == 0) n = 1;
            put(c->out, b * width + d, floor_div(2 * sum + n, 2 * n));
        }
    return DONE;
}

/* [... A B D] -> [... B A D] */
static int swap_middle(const call *c, int64_t a, int64_t b, int64_t width) {
    int64_t n = size(c->in) / (a * b * width);
    for (int64_t i = 0; i < n * a * b * width; i++) {
        int64_t d = i % width, y = i / width % b, x = i / width / b % a, lead = i / (width * b * a);
        put(c->out, ((lead * b + y) * a + x) * width + d, get(c->in, i));
    }
    return DONE;
}

static int split_heads(const call *c) {
    return swap_middle(c, dim(c->in, 2), attr(c, "heads"), dim(c->in, 1) / attr(c, "heads"));
}

static int merge_heads(const call *c) { return swap_middle(c, dim(c->in, 3), dim(c->in, 2), dim(c->in, 1)); }

static int transpose(const call *c) { return swap_middle(c, dim(c->in, 2), dim(c->in, 1), 1); }

static int select_token(const call *c) {
    int64_t width = dim(c->in, 1), tokens = dim(c->in, 2), n = size(c->out);
    for (int64_t i = 0; i < n; i++)
        put(c->out, i, get(c->in, (i / width * tokens + attr(c, "index")) * width + i % width));
    return DONE;
}

enum { SATURATE, WRAP, REFUSE };
typedef struct { int64_t overflow, end, every; } accumulator;

static accumulator declared(const call *c) {
    int64_t bits = attr(c, "accumulator");
    accumulator a = {attr(c, "overflow"), (int64_t)1 << (bits < 62 ? bits - 1 : 61), attr(c, "every")};
    return a;
}

/* What the accumulator holds after k of all terms. */
static int64_t held(accumulator a, int64_t sum, int64_t k, int64_t all) {
    if (a.overflow == WRAP && k == all) return sum - floor_div(sum + a.end, 2 * a.end) * 2 * a.end;
    if (a.overflow != SATURATE || (k != all && (a.every == 0 || k % a.every))) return sum;
    return sum < -a.end ? -a.end : sum < a.end ? sum : a.end - 1;
}

static int linear(const call *c) {
    int64_t k = dim(c->in, 1), n = dim(&c->in[1], 2), rows = size(c->in) / k;
    int64_t x_zero = attr(c, "x_zero_point"), w_zero = attr(c, "weight_zero_point");
    accumulator a = declared(c);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t j = 0; j < n; j++) {
            int64_t sum = get(&c->in[2], j);
            for (int64_t i = 0; i < k; i++) {
                sum += (get(c->in, r * k + i) - x_zero) * (get(&c->in[1], j * k + i) - w_zero);
                sum = held(a, sum, i + 1, k);
            }
            put(c->out, r * n + j, sum);
        }
    return DONE;
}

static int matmul(const call *c) {
    int64_t k = dim(c->in, 1), m = dim(c->in, 2), n = dim(&c->in[1], 1), batch = size(c->in) / (m * k);
    int64_t a_zero = attr(c, "a_zero_point"), b_zero = attr(c, "b_zero_point");
    accumulator a = declared(c);
    for (int64_t i = 0; i < batch * m; i++)
        for (int64_t j = 0; j < n; j++) {
            int64_t sum = 0;
            for (int64_t p = 0; p < k; p++) {
                sum += (get(c->in, i * k + p) - a_zero) * (get(&c->in[1], (i / m * k + p) * n + j) - b_zero);
                sum = held(a, sum, p + 1, k);
            }
            put(c->out, i * n + j, sum);
        }
    return DONE;
}

static int rescale(const call *c) {
    const intref_tensor *x = c->in;
    int64_t rule = attr(c, "rounding"), axis = attr(c, "axis"), inner = 1, n = size(x);
    if (x->dtype == INT64 || rule > HALF_EVEN) return UNSUPPORTED;
    if (axis < 0) axis += x->ndim;
    for (int64_t i = axis + 1; i < x->ndim; i++) inner *= x->shape[i];
    for (int64_t i = 0; i < n; i++) {
        int64_t ch = i / inner % x->shape[axis], v = get(x, i) - attr(c, "input_zero_point");
        if (v > INT32_MAX || v < -INT32_MAX) return UNSUPPORTED;
        v = round_shift(v * channel(&c->in[1], ch), (int)channel(&c->in[2], ch), (int)rule);
        put(c->out, i, clip(v + attr(c, "output_zero_point"), attr(c, "low"), attr(c, "high")));
    }
    return DONE;
}

static int add(const call *c) {
    int64_t width = dim(c->in, 1), n = size(c->in), rule = attr(c, "rounding");
    for (int64_t i = 0; i < n; i++) {
        int64_t d = i % width, sum = 0;
        for (int t = 0; t < 2; t++)
            sum += round_shift(get(&c->in[t], i) * channel(&c->in[2 + 2 * t], d), (int)channel(&c->in[3 + 2 * t], d),
                               (int)rule);
        put(c->out, i, clip(sum, attr(c, "low"), attr(c, "high")));
    }
    return DONE;
}

static int add_bias(const call *c) {
    int64_t width = dim(c->in, 1), n = size(c->in);
    for (int64_t i = 0; i < n; i++)
        put(c->out, i, clip(get(c->in, i) + get(&c->in[1], i % width), attr(c, "low"), attr(c, "high")));
    return DONE;
}

static int clamp(const call *c) {
    for (int64_t i = 0, n = size(c->in); i < n; i++)
        put(c->out, i, clip(get(c->in, i), attr(c, "low"), attr(c, "high")));
    return DONE;
}

static int rescale_quotient(const call *c) {
    int64_t width = dim(c->in, 1), rows = dim(c->in, 2), heads = dim(c->in, 3), n = size(c->in);
    for (int64_t i = 0; i < n; i++) {
        int64_t head = i / width / rows % heads, den = get(&c->in[1], i / width);
        int shift = (int)channel(&c->in[3], head);
        if (den == 0) den = 1;
        int64_t num = get(c->in, i) * channel(&c->in[2], head) + den * ((int64_t)1 << (shift - 1));
        put(c->out, i, clip(floor_div(num, den * ((int64_t)1 << shift)), attr(c, "low"), attr(c, "high")));
    }
    return DONE;
}

static int quantize_token(const call *c) {
    int64_t width = dim(c->in, 1), rows = size(c->in) / width;
    for (int64_t r = 0; r < rows; r++) {
        int64_t peak = 1, e, a, scale;
        for (int64_t d = 0; d < width; d++) {
            int64_t v = get(c->in, r * width + d);
            if (v < 0) v = -v;
            if (v > peak) peak = v;
        }
        e = bits((uint64_t)peak) > 15 ? bits((uint64_t)peak) - 15 : 0;
        a = (peak + ((int64_t)1 << e) - 1) >> e;
        if (a == 1 << 15) a >>= 1, e++;
        scale = a << e;
        for (int64_t d = 0; d < width; d++)
            put(c->out, r * width + d, floor_div(127 * get(c->in, r * width + d) + scale / 2, scale));
        put(&c->out[1], r, a);
        put(&c->out[2], r, e);
    }
    return DONE;
}

/* rescale_token, and with a residual rescale_token_residual */
static int token(const call *c, int residual) {
    int64_t width = dim(c->in, 1), n = size(c->in);
    for (int64_t i = 0; i < n; i++) {
        int64_t r = i / width, d = i % width, t = get(c->in, i) * get(&c->in[1], r) * get(&c->in[3], d);
        t = asr(t, (int)(get(&c->in[4], d) - get(&c->in[2], r))) + get(&c->in[5], d);
        if (residual) t += asr(get(&c->in[6], i) * get(&c->in[7], 0), (int)get(&c->in[8], 0));
        put(c->out, i, clip(round_shift(t, 8, ROUND), attr(c, "low"), attr(c, "high")));
    }
    return DONE;
}

static int rescale_token(const call *c) { return token(c, 0); }

static int rescale_token_residual(const call *c) { return token(c, 1); }

static int64_t exp2_of(const call *c, int64_t d, int64_t head) {
    int64_t u = asr(d * get(&c->in[2], head), (int)get(&c->in[3], head)), i = u >> 8 & 255, r = u & 255;
    int64_t mantissa = (get(&c->in[4], i) * (256 - r) + get(&c->in[4], i + 1) * r) >> 8;
    return mantissa >> (u >> 16 > 31 ? 31 : u >> 16);
}

static int softmax_exp2(const call *c) {
    const intref_tensor *x = c->in, *mask = &c->in[1];
    int64_t keys = dim(x, 1), queries = dim(x, 2), heads = dim(x, 3), rows = size(x) / keys;
    for (int64_t r = 0; r < rows; r++) {
        int64_t head = r / queries % heads, batch = r / queries / heads, most = INT64_MIN, total = 0;
        int64_t first = (mask->ndim == 2 ? batch : batch * queries + r % queries) * keys;
        for (int64_t k = 0; k < keys; k++)
            if (get(mask, first + k) && get(x, r * keys + k) > most) most = get(x, r * keys + k);
        for (int64_t k = 0; k < keys; k++) {
            int64_t e = get(mask, first + k) ? exp2_of(c, most - get(x, r * keys + k), head) : 0;
            int64_t p = (255 * e + (1 << 29)) >> 30;
            put(c->out, r * keys + k, p);
            total += p;
        }
        put(&c->out[1], r, total);
    }
    return DONE;
}

static int64_t square_root(int64_t v) {
    int64_t root = 0;
    for (int64_t bit = (int64_t)1 << 31; bit; bit >>= 1)
        if ((root + bit) <= 3037000499 && (root + bit) * (root + bit) <= v) root += bit;
    return root;
}

static int layernorm_fixed(const call *c) {
    int64_t n = dim(c->in, 1), rows = size(c->in) / n;
    int shift = (int)attr(c, "shift");
    for (int64_t r = 0; r < rows; r++) {
        int64_t sum = 0, mean, v = attr(c, "eps"), f;
        int k;
        for (int64_t d = 0; d < n; d++) sum += get(c->in, r * n + d);
        mean = floor_div(2 * sum + n, 2 * n);
        for (int64_t d = 0; d < n; d++) v += (get(c->in, r * n + d) - mean) * (get(c->in, r * n + d) - mean);
        if (v < 1) v = 1;
        k = (62 - bits((uint64_t)v)) / 2;
        f = ((int64_t)1 << 61) / square_root(v << 2 * k);
        for (int64_t d = 0; d < n; d++) {
            int64_t z = round_shift((get(c->in, r * n + d) - mean) * ((int64_t)1 << k) * f, 31, HALF_UP);
            z = asr(z * get(&c->in[1], d) + get(&c->in[2], d) + ((int64_t)1 << (shift - 1)), shift);
            put(c->out, r * n + d, clip(z, attr(c, "low"), attr(c, "high")));
        }
    }
    return DONE;
}

static int gelu_table(const call *c) {
    int fraction = (int)attr(c, "fraction"), k = fraction - 6;
    for (int64_t i = 0, n = size(c->in); i < n; i++) {
        int64_t x = get(c->in, i), a = x < 0 ? -x : x, g = 0, cell = a >> k, r = a & (((int64_t)1 << k) - 1);
        if (a < (int64_t)8 << fraction)
            g = (get(&c->in[1], cell) * (((int64_t)1 << k) - r) + get(&c->in[1], cell + 1) * r + (1 << 17)) >> 18;
        put(c->out, i, (x > 0 ? x : 0) - g);
    }
    return DONE;
}

static int table(const call *c) {
    for (int64_t i = 0, n = size(c->in); i < n; i++) put(c->out, i, get(&c->in[1], get(c->in, i) + 128));
    return DONE;
}

#define OP(name) {#name, name}
static const struct { const char *name; int (*run)(const call *); } OPS[] = {
    OP(embedding), OP(positions), OP(mean_pool), OP(split_heads), OP(merge_heads), OP(transpose), OP(select_token),
    OP(linear), OP(matmul), OP(rescale), OP(rescale_quotient), OP(add), OP(add_bias), OP(clamp), OP(quantize_token),
    OP(rescale_token), OP(rescale_token_residual), OP(softmax_exp2), OP(layernorm_fixed), OP(gelu_table), OP(table),
};

int intref_dut(const char *op, int na, const char **names, const int64_t *values, int ni, const intref_tensor *in,
               int no, intref_tensor *out) {
    call c = {na, names, values, in, out};
    if (ni < 1 || no < 1) return UNSUPPORTED;
    for (unsigned i = 0; i < sizeof OPS / sizeof OPS[0]; i++)
        if (strcmp(OPS[i].name, op) == 0) return OPS[i].run(&c);
    return UNSUPPORTED;
}
