;; Reads 64 bits of which the last byte is the first beyond the memory.
(func (export "run") (param i32) (result i32)
  (drop (i64.load (i32.const 65529)))
  (unreachable))
