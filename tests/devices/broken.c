/* Wrong devices in C; -DHOW=... picks one. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct { void *data; int32_t dtype; int32_t ndim; int64_t shape[8]; } intref_tensor;
enum { NOTHING, HALF, BEYOND, BEFORE, INPUTS, BEFORE_INPUT, BEYOND_INPUT, RANDOM, CRASHES, FAILS, REFUSES };

static int64_t bytes(const intref_tensor *t) {
    static const int width[] = {1, 1, 2, 4, 8};
    int64_t n = width[t->dtype];
    for (int i = 0; i < t->ndim; i++) n *= t->shape[i];
    return n;
}

int intref_dut(const char *op, int na, const char **names, const int64_t *values, int ni, const intref_tensor *in,
               int no, intref_tensor *out) {
    static int calls;
    int64_t n = bytes(out);
    (void)op, (void)na, (void)names, (void)values, (void)ni, (void)no;
    calls++;
    if (HOW == FAILS) return 5;
    if (HOW == REFUSES) return 1;
    if (HOW == CRASHES) abort();
    if (HOW == HALF) memset(out->data, 0, (size_t)(n / 2));
    if (HOW > HALF) memset(out->data, 0, (size_t)n);
    if (HOW == BEYOND) ((char *)out->data)[n] = 0;
    if (HOW == BEFORE) ((char *)out->data)[-1] = 0;
    if (HOW == INPUTS) memset(in[0].data, 7, (size_t)bytes(in));
    if (HOW == BEFORE_INPUT) ((char *)in[0].data)[-1] = 7;
    if (HOW == BEYOND_INPUT) ((char *)in[0].data)[bytes(in)] = 7;
    if (HOW == RANDOM) ((char *)out->data)[0] = (char)calls;
    return 0;
}
