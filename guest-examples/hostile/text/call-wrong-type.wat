;; Calls a function through a table as if it had another type.
(table funcref (elem $other))
(type $call (func (result i32)))
(func $other (param i64))
(func (export "run") (param i32) (result i32)
  (call_indirect (type $call) (i32.const 0)))
