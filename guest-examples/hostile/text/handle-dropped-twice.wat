;; Drops the same resource twice.
;;; imports
(import "wasi:io/poll@0.2.0" (instance $poll
  (export "pollable" (type $pollable (sub resource)))
  (export "[method]pollable.block" (func (param "self" (borrow $pollable))))
  (export "poll" (func (param "in" (list (borrow $pollable))) (result (list u32))))))
(alias export $poll "pollable" (type $pollable))
(import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
  (alias outer 1 $pollable (type $outer))
  (export "pollable" (type $pollable (eq $outer)))
  (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
;;; lower
(core func $block (canon lower (func $poll "[method]pollable.block")))
(core func $subscribe (canon lower (func $clock "subscribe-duration")))
(core func $drop (canon resource.drop $pollable))
;;; core-imports
(import "poll" "block" (func $block (param i32)))
(import "poll" "subscribe" (func $subscribe (param i64) (result i32)))
(import "poll" "drop" (func $drop (param i32)))
;;; instantiate
(with "poll" (instance
  (export "block" (func $block)) (export "subscribe" (func $subscribe)) (export "drop" (func $drop))))
;;; main
(func (export "run") (param i32) (result i32)
  (local $handle i32)
  (local.set $handle (call $subscribe (i64.const 1)))
  (call $drop (local.get $handle))
  (call $drop (local.get $handle))
  (i32.const 1024))
