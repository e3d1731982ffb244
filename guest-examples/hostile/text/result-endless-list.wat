;; Returns an output of 4 GiB at the end of 64 KiB of memory.
(data (i32.const 1052) "\ff\ff\ff\ff")
