#include <string.h>

enum { INT8, UINT8, INT16, INT32, INT64 };
enum { DONE, UNSUPPORTED, CONTRACT_BROKEN };

/* Small sums and products are left to int. */
typedef char int_has_32_bits[sizeof(int) >= 4 ? 1 : -1];

#define MAX_ELEMENTS ((int64_t)1 << 40)

typedef struct {
    int na;
    const char *const *names;
    const int64_t *values;
    int ni;
    const intref_tensor *in;
    int no;
    const intref_tensor *out;
} arguments;
