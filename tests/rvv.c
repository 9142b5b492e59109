/* RISC-V vector fixed-point instructions, one at a time.
 *
 * stdin: records of int64: instruction, vxrm, scalar, n, then n elements; stdout: n int64 each. Instructions are
 * numbered as in KINDS of tests/oracles/rvv.py. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* One instruction on all elements: read at one width, answered at another. */
#define RUN(OPERATION, WIDTH, LOAD, STORE, FROM, TO)                                                        \
    {                                                                                                       \
        FROM *in = malloc(n * sizeof *in);                                                                  \
        TO *out = malloc(n * sizeof *out);                                                                  \
        for (size_t i = 0; i < n; i++) in[i] = (FROM)x[i];                                                  \
        for (size_t i = 0, vl; i < n; i += vl)                                                              \
            __asm__ volatile("vsetvli %0, %1, " WIDTH ", m1, ta, ma\n\t" LOAD ".v v8, (%2)\n\t" OPERATION   \
                             " v4, v8, %4\n\t" STORE ".v v4, (%3)"                                          \
                             : "=&r"(vl)                                                                    \
                             : "r"(n - i), "r"(in + i), "r"(out + i), "r"(scalar)                           \
                             : "memory");                                                                   \
        for (size_t i = 0; i < n; i++) x[i] = (int64_t)out[i];                                              \
        free(in), free(out);                                                                                \
        break;                                                                                              \
    }

int main(void) {
    int64_t head[4];
    while (fread(head, sizeof head, 1, stdin) == 1) {
        size_t n = (size_t)head[3];
        int64_t scalar = head[2], *x = malloc(n * sizeof *x);
        if (fread(x, sizeof *x, n, stdin) != n) return 1;
        __asm__ volatile("csrw vxrm, %0" ::"r"(head[1]));
        switch (head[0]) {
        case 0: RUN("vnclip.wx", "e32", "vle64", "vse32", int64_t, int32_t)
        case 1: RUN("vnclip.wx", "e16", "vle32", "vse16", int32_t, int16_t)
        case 2: RUN("vnclip.wx", "e8", "vle16", "vse8", int16_t, int8_t)
        case 3: RUN("vnclipu.wx", "e16", "vle32", "vse16", uint32_t, uint16_t)
        case 4: RUN("vnclipu.wx", "e8", "vle16", "vse8", uint16_t, uint8_t)
        case 5: RUN("vssra.vx", "e64", "vle64", "vse64", int64_t, int64_t)
        case 6: RUN("vssra.vx", "e32", "vle32", "vse32", int32_t, int32_t)
        case 7: RUN("vssra.vx", "e16", "vle16", "vse16", int16_t, int16_t)
        case 8: RUN("vssra.vx", "e8", "vle8", "vse8", int8_t, int8_t)
        case 9: RUN("vsmul.vx", "e32", "vle32", "vse32", int32_t, int32_t)
        case 10: RUN("vsmul.vx", "e16", "vle16", "vse16", int16_t, int16_t)
        case 11: RUN("vsmul.vx", "e8", "vle8", "vse8", int8_t, int8_t)
        default: return 2;
        }
        fwrite(x, sizeof *x, n, stdout);
        free(x);
    }
    return 0;
}
