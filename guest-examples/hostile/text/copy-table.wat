;; Copies a large table over itself, again and again.
(table $vast 90000 funcref)
(func (export "run") (param i32) (result i32)
  (loop $again
    (table.copy (i32.const 1) (i32.const 0) (i32.const 89999))
    (br $again))
  (unreachable))
