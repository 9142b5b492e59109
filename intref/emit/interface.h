#ifndef INTREF_DUT_H
#define INTREF_DUT_H

#include <stdint.h>

/* dtype: 0 int8, 1 uint8, 2 int16, 3 int32, 4 int64. data: C-contiguous, in the machine's byte order, aligned as its
   dtype must be on it: that is not checked. */
typedef struct {
    void *data;
    int32_t dtype;
    int32_t ndim;
    int64_t shape[8];
} intref_tensor;

/* Computes one op. names and values: all its na attributes, each once, a choice as its index. in and out: in the op's
   order, the outputs in their dtypes and shapes. Returns 0 for done, 1 for an op or a choice that is not in this file,
   2 for a call that breaks the op's contract, but for the rules that the comment above an op lists as not checked
   here; what out points at is then undefined.

       int8_t x[2][3] = {{-9, 0, 9}, {4, 5, 6}}, y[2][3];
       const char *names[] = {"low", "high"};
       const int64_t values[] = {-5, 5};
       const intref_tensor in = {x, 0, 2, {2, 3}};
       intref_tensor out = {y, 0, 2, {2, 3}};
       int code = intref_dut("clamp", 2, names, values, 1, &in, 1, &out); */
int intref_dut(const char *op, int na, const char **names, const int64_t *values, int ni, const intref_tensor *in,
               int no, intref_tensor *out);

#endif
