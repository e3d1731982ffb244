;; Fills 64 MiB in one instruction, again and again: an instruction is not interrupted, only the loop is.
(memory (export "memory") 1024)
(func (export "run") (param i32) (result i32)
  (loop $again
    (memory.fill (i32.const 65536) (i32.const 0xAA) (i32.const 67000000))
    (br $again))
  (unreachable))
