;; Waits for its standard output as if that were something to wait for.
;;; imports
(import "wasi:io/poll@0.2.0" (instance $poll
  (export "pollable" (type $pollable (sub resource)))
  (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
(alias export $poll "pollable" (type $pollable))
(import "wasi:io/streams@0.2.0" (instance $streams
  (alias outer 1 $pollable (type $outer))
  (export "pollable" (type $pollable (eq $outer)))
  (export "output-stream" (type $output-stream (sub resource)))
  (export "[method]output-stream.subscribe" (func (param "self" (borrow $output-stream)) (result (own $pollable))))))
(alias export $streams "output-stream" (type $output-stream))
(import "wasi:cli/stdout@0.2.0" (instance $stdout
  (alias outer 1 $output-stream (type $outer))
  (export "output-stream" (type $output-stream (eq $outer)))
  (export "get-stdout" (func (result (own $output-stream))))))
;;; lower
(core func $block (canon lower (func $poll "[method]pollable.block")))
(core func $subscribe (canon lower (func $streams "[method]output-stream.subscribe")))
(core func $get-stdout (canon lower (func $stdout "get-stdout")))
(core func $drop-stream (canon resource.drop $output-stream))
;;; core-imports
(import "io" "block" (func $block (param i32)))
(import "io" "subscribe" (func $subscribe (param i32) (result i32)))
(import "io" "get-stdout" (func $get-stdout (result i32)))
(import "io" "drop-stream" (func $drop-stream (param i32)))
;;; instantiate
(with "io" (instance
  (export "block" (func $block)) (export "subscribe" (func $subscribe))
  (export "get-stdout" (func $get-stdout)) (export "drop-stream" (func $drop-stream))))
;;; main
(func (export "run") (param i32) (result i32)
  (call $block (call $get-stdout))
  (i32.const 1024))
