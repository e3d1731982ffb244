;; Lets a table grow until it may not, and gives up then.
(table $vast 1 funcref)
(func (export "run") (param i32) (result i32)
  (loop $again
    (br_if $again (i32.ne (i32.const -1) (table.grow $vast (ref.null func) (i32.const 5000)))))
  (unreachable))
