;; Two functions call each other through a table, for ever: no loop, and no function calls itself.
(table funcref (elem $ping $pong))
(type $call (func (param i32) (result i32)))
(func $ping (param i32) (result i32)
  (i32.add (i32.const 1) (call_indirect (type $call) (local.get 0) (i32.const 1))))
(func $pong (param i32) (result i32)
  (i32.add (i32.const 1) (call_indirect (type $call) (local.get 0) (i32.const 0))))
(func (export "run") (param i32) (result i32)
  (call_indirect (type $call) (local.get 0) (i32.const 0)))
