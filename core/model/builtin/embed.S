/* The built-in model and its vocabulary inside the program. Paths are relative to the repository's root. */
    .section .rodata
    .balign 64
    .global cpl_builtin_weights, cpl_builtin_weights_end
    .global cpl_builtin_vocab, cpl_builtin_vocab_end, cpl_builtin_merges, cpl_builtin_merges_end
cpl_builtin_weights:
    .incbin "core/model/builtin/builtin.safetensors"
cpl_builtin_weights_end:
    .byte 0
    .balign 16
cpl_builtin_vocab: /* ends with a NUL: C reads it as text */
    .incbin "core/model/builtin/vocab.json"
cpl_builtin_vocab_end:
    .byte 0
    .balign 16
cpl_builtin_merges:
    .incbin "core/model/builtin/merges.txt"
cpl_builtin_merges_end:
    .byte 0
    .section .note.GNU-stack,"",@progbits
