;; Asks for as many random bytes as a number can say.
;;; imports
(import "wasi:random/random@0.2.0" (instance $random
  (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
;;; lower
(core module $room (memory (export "memory") 2)
  (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
(core instance $room (instantiate $room))
(alias core export $room "memory" (core memory $room-memory))
(alias core export $room "realloc" (core func $room-realloc))
(core func $random (canon lower (func $random "get-random-bytes") (memory $room-memory) (realloc $room-realloc)))
;;; core-imports
(import "random" "bytes" (func $random (param i64 i32)))
;;; instantiate
(with "random" (instance (export "bytes" (func $random))))
;;; main
(func (export "run") (param i32) (result i32)
  (call $random (i64.const -1) (i32.const 16))
  (i32.const 1024))
