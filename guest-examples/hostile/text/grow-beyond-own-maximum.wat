;; Wants more memory than it has declared as its maximum, and goes on when that fails.
(memory (export "memory") 1 2)
(func (export "run") (param i32) (result i32)
  (local $tries i32)
  (loop $again
    (drop (memory.grow (i32.const 2)))
    (br_if $again (i32.lt_u (local.tee $tries (i32.add (local.get $tries) (i32.const 1))) (i32.const 100000))))
  (i32.const 1024))
