;; Divides the smallest number by -1: the quotient has no place.
(func (export "run") (param i32) (result i32)
  (i32.div_s (i32.const 0x80000000) (i32.const -1)))
