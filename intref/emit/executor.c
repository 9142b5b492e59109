static const int WIDTHS[] = {1, 1, 2, 4, 8};

static int64_t bytes_of(const intref_tensor *t) {
    int64_t count = WIDTHS[t->dtype];
    for (int i = 0; i < t->ndim; i++) {
        if (t->shape[i] > MAX_ELEMENTS / count) return 0;
        count *= t->shape[i];
    }
    return count;
}

/* Gives every tensor its dtype and shape, and constants and inputs their data. */
static int describe(const arguments *given, intref_tensor *tensors) {
    int64_t sizes[SYMBOLS];
    for (int i = 0; i < SYMBOLS; i++) sizes[i] = 1;
    for (int i = 0; i < INPUT_COUNT; i++) {
        const intref_tensor *t = &given->in[i];
        if (t->ndim != TENSORS[INPUTS[i].tensor].ndim) return CONTRACT_BROKEN;
        for (int a = 0; a < t->ndim; a++)
            if (TENSORS[INPUTS[i].tensor].axes[a] < 0) sizes[-1 - TENSORS[INPUTS[i].tensor].axes[a]] = t->shape[a];
    }
    for (int i = 0; i < SYMBOLS; i++)
        if (sizes[i] < 1 || sizes[i] > LIMITS[i]) return CONTRACT_BROKEN;
    for (int i = 0; i < TENSOR_COUNT; i++) {
        intref_tensor *t = &tensors[i];
        t->data = (void *)TENSORS[i].constant; /* no op writes to its inputs */
        t->dtype = TENSORS[i].dtype;
        t->ndim = TENSORS[i].ndim;
        for (int a = 0; a < t->ndim; a++)
            t->shape[a] = TENSORS[i].axes[a] < 0 ? sizes[-1 - TENSORS[i].axes[a]] : TENSORS[i].axes[a];
    }
    for (int i = 0; i < INPUT_COUNT; i++) {
        intref_tensor *t = &tensors[INPUTS[i].tensor];
        if (!shaped(&given->in[i], 1 << t->dtype, 0, t->ndim, t->shape) ||
            !all_within(&given->in[i], INPUTS[i].low, INPUTS[i].high))
            return CONTRACT_BROKEN;
        t->data = given->in[i].data;
    }
    return DONE;
}

/* Computes one node into memory of its own. */
static int compute(int step, intref_tensor *tensors) {
    intref_tensor in[MOST_INPUTS], out[MOST_OUTPUTS];
    for (int i = 0; i < STEPS[step].ni; i++) in[i] = tensors[STEPS[step].in[i]];
    for (int i = 0; i < STEPS[step].no; i++) {
        intref_tensor *t = &tensors[STEPS[step].out[i]];
        int64_t size = bytes_of(t);
        t->data = size < 1 || (uint64_t)size > SIZE_MAX ? 0 : malloc((size_t)size);
        if (!t->data) return OUT_OF_MEMORY;
        out[i] = *t;
    }
    const arguments call = {STEPS[step].na, STEPS[step].names, STEPS[step].values, STEPS[step].ni, in,
                            STEPS[step].no, out};
    return STEPS[step].run(&call);
}

/* Frees what no step after this one reads. */
static void release(int step, intref_tensor *tensors) {
    for (int i = 0; i < TENSOR_COUNT; i++)
        if (TENSORS[i].made && TENSORS[i].last <= step) {
            free(tensors[i].data);
            tensors[i].data = 0;
        }
}

static int op_model(const arguments *given) {
    intref_tensor tensors[TENSOR_COUNT];
    if (given->na || given->ni != INPUT_COUNT || given->no != OUTPUT_COUNT) return CONTRACT_BROKEN;
    int code = describe(given, tensors);
    if (code != DONE) return code;
    for (int i = 0; i < OUTPUT_COUNT; i++) {
        const intref_tensor *t = &tensors[OUTPUTS[i]];
        if (!shaped(&given->out[i], 1 << t->dtype, 0, t->ndim, t->shape)) return CONTRACT_BROKEN;
    }
    for (int step = 0; step < STEP_COUNT && code == DONE; step++) {
        code = compute(step, tensors);
        release(step, tensors);
    }
    for (int i = 0; i < OUTPUT_COUNT && code == DONE; i++)
        memcpy(given->out[i].data, tensors[OUTPUTS[i]].data, (size_t)bytes_of(&tensors[OUTPUTS[i]]));
    release(STEP_COUNT, tensors);
    return code;
}
