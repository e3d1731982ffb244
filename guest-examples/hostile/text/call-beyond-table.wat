;; Calls through a table beyond its end.
(table 4 funcref)
(type $call (func (result i32)))
(func (export "run") (param i32) (result i32)
  (call_indirect (type $call) (i32.const 0x7fffffff)))
