;; Declares a memory of 4 GiB.
(memory (export "memory") 65536)
