enum { FLOOR, CEIL, TOWARD_ZERO, ODD, HALF_UP, HALF_DOWN, HALF_AWAY, HALF_TO_ZERO, HALF_EVEN };

/* The int64 with these bits; the cast alone would be left to the compiler beyond INT64_MAX. */
static int64_t as_signed(uint64_t x) { return x <= INT64_MAX ? (int64_t)x : -(int64_t)~x - 1; }

static int64_t wrap_add(int64_t a, int64_t b) { return as_signed((uint64_t)a + (uint64_t)b); }

static int64_t wrap_subtract(int64_t a, int64_t b) { return as_signed((uint64_t)a - (uint64_t)b); }

static int64_t wrap_multiply(int64_t a, int64_t b) { return as_signed((uint64_t)a * (uint64_t)b); }

/* x * 2**s, its low 64 bits: C leaves << of a negative number undefined. */
static int64_t shift_left(int64_t x, int64_t s) { return s > 63 ? 0 : as_signed((uint64_t)x << s); }

/* floor(x / 2**s): C leaves >> of a negative number to the compiler. */
static int64_t shift_right(int64_t x, int64_t s) { return s > 63 ? -(x < 0) : x < 0 ? ~(~x >> s) : x >> s; }

/* floor(n / d), d > 0: C divides toward zero. */
static int64_t floor_divide(int64_t n, int64_t d) { return n / d - (n % d < 0); }

static int64_t floor_remainder(int64_t n, int64_t d) { return n % d + (n % d < 0 ? d : 0); }

static int64_t maximum(int64_t a, int64_t b) { return a > b ? a : b; }

static int64_t minimum(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t absolute(int64_t x) { return x < 0 ? wrap_subtract(0, x) : x; }

static int64_t square(int64_t x) { return x * x; }

static int64_t saturate(int64_t x, int64_t low, int64_t high) { return minimum(maximum(x, low), high); }

static int within(int64_t x, int64_t low, int64_t high) { return low <= x && x <= high; }

/* The int32 with the low 32 bits of x. */
static int64_t wrap_int32(int64_t x) { return ((x & 0xffffffff) ^ 0x80000000) - 0x80000000; }

/* The number with the low bits of x, two's complement. */
static int64_t wrap(int64_t x, int64_t bits) {
    int64_t sign = (int64_t)1 << (bits - 1);
    return ((x & (2 * sign - 1)) ^ sign) - sign;
}

/* A sum of k terms, clamped where a block of `every` ends, and after the last of all. */
static int64_t settled(int64_t sum, int64_t k, int64_t all, int64_t every, int64_t low, int64_t high) {
    return k == all || (every && k % every == 0) ? saturate(sum, low, high) : sum;
}

/* The number of bits of x >= 0. */
static int64_t bitlen(int64_t x) {
    int64_t length = 0;
    for (; x > 0; x >>= 1) length++;
    return length;
}

/* floor(sqrt(x)), x >= 0, a bit at a time. */
static int64_t isqrt(int64_t x) {
    uint64_t root = 0, rest = (uint64_t)x;
    for (uint64_t bit = (uint64_t)1 << 62; bit; bit >>= 2) {
        int up = rest >= root + bit;
        if (up) rest -= root + bit;
        root = (root >> 1) + (up ? bit : 0);
    }
    return (int64_t)root;
}

/* q + fraction to an integer: inexact, half and above say that the fraction is > 0, == 1/2, > 1/2. */
static int64_t rounded(int64_t q, int inexact, int half, int above, int64_t rule) {
    int up = 0;
    switch (rule) {
    case FLOOR: break;
    case CEIL: up = inexact; break;
    case TOWARD_ZERO: up = inexact && q < 0; break;
    case ODD: up = inexact && q % 2 == 0; break;
    case HALF_UP: up = half || above; break;
    case HALF_DOWN: up = above; break;
    case HALF_AWAY: up = above || (half && q >= 0); break;
    case HALF_TO_ZERO: up = above || (half && q < 0); break;
    default: up = above || (half && q % 2 != 0); break; /* HALF_EVEN */
    }
    return wrap_add(q, up);
}

/* x * m / 2**shift rounded, |m| <= 2**31, shift 0..94: exact, by a product of 95 bits in two limbs. */
static int64_t mul_shift(int64_t x, int64_t m, int64_t shift, int64_t rule) {
    int64_t low = m * (x & 0xffffffff);
    int64_t high = m * shift_right(x, 32) + shift_right(low, 32); /* x * m = high * 2**32 + low */
    int64_t s_low = minimum(shift, 32), s_high = maximum(shift, 32) - 32;
    low &= 0xffffffff;
    int64_t q = wrap_add(shift_left(shift_right(high, s_high), 32 - s_low), low >> s_low);
    /* The dropped bits: `first` holds the highest of them, `below` those under it that do not fit beside it. */
    int64_t one = (int64_t)1 << (s_high ? s_high : s_low);
    int64_t first = (s_high ? high : low) & (one - 1), below = s_high ? low : 0;
    int half = 2 * first == one && !below, above = 2 * first > one || (2 * first == one && below);
    return rounded(q, first || below, half, above, rule);
}

static uint64_t absolute_bits(int64_t x) { return x < 0 ? 0 - (uint64_t)x : (uint64_t)x; }

/* x * m / 2**shift rounded, shift 0..94: exact, by all 128 bits of the product. */
static int64_t mul_shift_wide(int64_t x, int64_t m, int64_t shift, int64_t rule) {
    uint64_t a = absolute_bits(x) & 0xffffffff, b = absolute_bits(x) >> 32, c = absolute_bits(m) & 0xffffffff, d = absolute_bits(m) >> 32;
    uint64_t middle = (a * c >> 32) + (a * d & 0xffffffff) + (b * c & 0xffffffff);
    uint64_t low = middle << 32 | (a * c & 0xffffffff);
    uint64_t high = b * d + (a * d >> 32) + (b * c >> 32) + (middle >> 32);
    if ((x < 0) != (m < 0)) {
        low = 0 - low;
        high = ~high + (low == 0);
    }
    if (shift == 0) return as_signed(low);
    /* The highest of the dropped bits, and whether any below it is 1. */
    uint64_t first = shift > 64 ? high : low, one = (uint64_t)1 << (shift > 64 ? shift - 65 : shift - 1);
    int half = (first & one) != 0, below = (first & (one - 1)) != 0 || (shift > 64 && low);
    uint64_t q = shift > 63 ? (uint64_t)shift_right(as_signed(high), shift - 64) : high << (64 - shift) | low >> shift;
    return rounded(as_signed(q), half || below, half && !below, half && below, rule);
}

/* n / d rounded, d > 0. */
static int64_t divide(int64_t n, int64_t d, int64_t rule) {
    int64_t q = floor_divide(n, d), rest = floor_remainder(n, d);
    return rounded(q, rest > 0, rest == d - rest, rest > d - rest, rule);
}

/* floor(x / 2**s + 1/2): the highest bit that is dropped is added. */
static int64_t shift_half_up(int64_t x, int64_t s) {
    return s < 1 ? x : shift_right(x, s) + (shift_right(x, s - 1) & 1);
}

/* floor(n / d + 1/2), d > 0. */
static int64_t div_half_up(int64_t n, int64_t d) { return divide(n, d, HALF_UP); }

/* x >= 0 to the 24 bits of a float32, ties to even: *significand * 2**returned. */
static int64_t significand24(int64_t x, int64_t *significand) {
    int64_t exponent = maximum(bitlen(x) - 24, 0), one = (int64_t)1 << exponent;
    *significand = divide(x, one, HALF_EVEN);
    return exponent;
}

/* RNE(fl32(fl32(x) * s)), s the float32 with the bits `pattern`: a float32 epilogue in integers. */
static int64_t scale_fp32(int64_t x, int64_t pattern) {
    int64_t biased = shift_right(pattern, 23) & 255;
    int64_t significand = (pattern & 0x7fffff) + (minimum(biased, 1) << 23);
    int64_t exponent = maximum(biased, 1) - 150, xs, ps;
    exponent += significand24(absolute(x), &xs);
    exponent += significand24(xs * significand, &ps);
    int64_t drop = minimum(maximum(-exponent, 0), 62); /* ps < 2**25: 26 dropped bits leave 0 */
    int64_t whole = shift_left(ps, minimum(maximum(exponent, 0), 39)); /* 2**62 is 2**23 << 39 */
    int64_t magnitude = divide(whole, (int64_t)1 << drop, HALF_EVEN);
    return (x < 0) != (shift_right(pattern, 31) & 1) ? -magnitude : magnitude;
}

static int64_t get(const intref_tensor *t, int64_t i) {
    switch (t->dtype) {
    case INT8: return ((const int8_t *)t->data)[i];
    case UINT8: return ((const uint8_t *)t->data)[i];
    case INT16: return ((const int16_t *)t->data)[i];
    case INT32: return ((const int32_t *)t->data)[i];
    default: return ((const int64_t *)t->data)[i];
    }
}

static int64_t lowest(int32_t dtype) {
    return dtype == INT8 ? INT8_MIN : dtype == UINT8 ? 0 : dtype == INT16 ? INT16_MIN : dtype == INT32 ? INT32_MIN
                                                                                                       : INT64_MIN;
}

static int64_t highest(int32_t dtype) {
    return dtype == UINT8 ? UINT8_MAX : -(lowest(dtype) + 1);
}

/* Stores v; 0 if the dtype does not hold it. */
static int put(const intref_tensor *t, int64_t i, int64_t v) {
    if (!within(v, lowest(t->dtype), highest(t->dtype))) return 0;
    switch (t->dtype) {
    case INT8: ((int8_t *)t->data)[i] = (int8_t)v; break;
    case UINT8: ((uint8_t *)t->data)[i] = (uint8_t)v; break;
    case INT16: ((int16_t *)t->data)[i] = (int16_t)v; break;
    case INT32: ((int32_t *)t->data)[i] = (int32_t)v; break;
    default: ((int64_t *)t->data)[i] = v; break;
    }
    return 1;
}

/* The size of the axis `from_end` places from the last, which is 1; 0 if there is none. */
static int64_t axis_size(const intref_tensor *t, int from_end) {
    return from_end <= t->ndim && t->ndim <= 8 ? t->shape[t->ndim - from_end] : 0;
}

/* The number of elements in all axes but the last n; 0 if there are fewer axes, or beyond 2**40. */
static int64_t leading(const intref_tensor *t, int n) {
    int64_t count = t->ndim < n || t->ndim > 8 ? 0 : 1;
    for (int i = 0; i < t->ndim - n && count > 0; i++) {
        if (t->shape[i] < 1 || t->shape[i] > MAX_ELEMENTS / count) return 0;
        count *= t->shape[i];
    }
    return count;
}

/* Whether the dtype is one of the set, and the last n axes have these sizes, with `lead` elements in those before them;
   lead 0: there are none before them. */
static int shaped(const intref_tensor *t, int dtypes, int64_t lead, int n, const int64_t *sizes) {
    int64_t count = lead ? lead : 1;
    if (!t->data || t->dtype < 0 || t->dtype > INT64 || !(dtypes >> t->dtype & 1)) return 0;
    if (lead ? leading(t, n) != lead : t->ndim != n) return 0;
    for (int i = 0; i < n; i++) {
        if (sizes[i] < 1 || t->shape[t->ndim - n + i] != sizes[i] || sizes[i] > MAX_ELEMENTS / count) return 0;
        count *= sizes[i];
    }
    return 1;
}

/* Whether all axes of a but the last na are those of b but the last nb. */
static int same_leading(const intref_tensor *a, int na, const intref_tensor *b, int nb) {
    if (a->ndim - na != b->ndim - nb) return 0;
    for (int i = 0; i < a->ndim - na; i++)
        if (a->shape[i] != b->shape[i]) return 0;
    return 1;
}

/* Whether every element lies in [low, high]. */
static int all_within(const intref_tensor *t, int64_t low, int64_t high) {
    int64_t n = leading(t, 0);
    for (int64_t i = 0; i < n; i++)
        if (!within(get(t, i), low, high)) return 0;
    return 1;
}

/* Finds an attribute; 0 if it is missing or outside of [low, high]. */
static int attribute(const arguments *given, const char *name, int64_t low, int64_t high, int64_t *value) {
    for (int i = 0; i < given->na; i++)
        if (strcmp(given->names[i], name) == 0) return within(*value = given->values[i], low, high);
    return 0;
}

/* The number of elements between neighbours along an axis, negative from the end; 0 if there is no such axis. */
static int64_t inner_size(const intref_tensor *t, int64_t axis) {
    int64_t count = 1;
    if (axis < 0) axis += t->ndim;
    if (axis < 0 || axis >= t->ndim || t->ndim > 8) return 0;
    for (int64_t i = axis + 1; i < t->ndim; i++) count *= t->shape[i];
    return count;
}

/* The size of an axis, negative from the end; 0 if there is none. */
static int64_t size_along(const intref_tensor *t, int64_t axis) {
    if (axis < 0) axis += t->ndim;
    return axis < 0 || axis >= t->ndim || t->ndim > 8 ? 0 : t->shape[axis];
}

/* An integer of 512 bits, two's complement, lowest limb first: the rules that no int64_t decides. */
typedef struct {
    uint32_t limb[16];
} wide;
static wide widen(int64_t x) {
    wide w;
    for (int i = 0; i < 16; i++) w.limb[i] = (uint32_t)((uint64_t)shift_right(x, i < 2 ? 32 * i : 63) & 0xffffffff);
    return w;
}

static wide wide_add(wide a, wide b) {
    uint64_t carry = 0;
    for (int i = 0; i < 16; i++) {
        carry += (uint64_t)a.limb[i] + b.limb[i];
        a.limb[i] = (uint32_t)(carry & 0xffffffff);
        carry >>= 32;
    }
    return a;
}

static wide wide_subtract(wide a, wide b) {
    for (int i = 0; i < 16; i++) b.limb[i] = ~b.limb[i];
    return wide_add(wide_add(a, b), widen(1));
}

static wide wide_multiply(wide a, wide b) {
    wide product = widen(0);
    for (int i = 0; i < 16; i++) {
        uint64_t carry = 0;
        for (int j = 0; i + j < 16; j++) {
            carry += (uint64_t)a.limb[i] * b.limb[j] + product.limb[i + j];
            product.limb[i + j] = (uint32_t)(carry & 0xffffffff);
            carry >>= 32;
        }
    }
    return product;
}

static wide wide_shift_left(wide a, int64_t s) {
    wide power = widen(0);
    if (s < 512) power.limb[s / 32] = (uint32_t)1 << s % 32;
    return wide_multiply(a, power);
}

static int wide_less(wide a, wide b) { return (int)(wide_subtract(a, b).limb[15] >> 31); }

static int wide_equal(wide a, wide b) { return memcmp(a.limb, b.limb, sizeof a.limb) == 0; }

/* The greatest element of a row along the last axis, of each only the bits of mask, mask >= 0. */
static int64_t greatest_bits(const intref_tensor *t, int64_t row, int64_t mask) {
    int64_t n = axis_size(t, 1), found = 0;
    for (int64_t i = 0; i < n; i++) found = maximum(found, get(t, row * n + i) & mask);
    return found;
}

/* The least of the elements step - 1, 2 * step - 1, ... */
static int64_t least(const intref_tensor *t, int64_t step) {
    int64_t n = leading(t, 0), found = get(t, step - 1);
    for (int64_t i = step - 1; i < n; i += step) found = minimum(found, get(t, i));
    return found;
}

/* The greatest of them. */
static int64_t greatest(const intref_tensor *t, int64_t step) {
    int64_t n = leading(t, 0), found = get(t, step - 1);
    for (int64_t i = step - 1; i < n; i += step) found = maximum(found, get(t, i));
    return found;
}
