;; Waits for the first of no events.
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
(core module $room (memory (export "memory") 2)
  (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
(core instance $room (instantiate $room))
(alias core export $room "memory" (core memory $room-memory))
(alias core export $room "realloc" (core func $room-realloc))
(core func $poll (canon lower (func $poll "poll") (memory $room-memory) (realloc $room-realloc)))
;;; core-imports
(import "poll" "poll" (func $poll (param i32 i32 i32)))
;;; instantiate
(with "poll" (instance (export "poll" (func $poll))))
;;; main
(func (export "run") (param i32) (result i32)
  (call $poll (i32.const 16) (i32.const 0) (i32.const 32))
  (i32.const 1024))
