;; Logs 1,024 fields that all have the same 32 KiB as their key: 32 MB for the host, in one call.
;;; imports
(import "sunaba:task/host@0.1.0" (instance $host
  (type $level' (enum "trace" "debug" "info" "warn" "error"))
  (export "level" (type $level (eq $level')))
  (export "log"
    (func (param "level" $level) (param "message" string) (param "fields" (list (tuple string string)))))))
;;; lower
(core func $log (canon lower (func $host "log") (memory $store "memory")))
;;; core-imports
(import "host" "log" (func $log (param i32 i32 i32 i32 i32)))
;;; instantiate
(with "host" (instance (export "log" (func $log))))
;;; main
(func (export "run") (param i32) (result i32)
  (local $field i32)
  (local.set $field (i32.const 16384))
  (loop $again
    (i32.store offset=8 (local.get $field) (i32.const 192))
    (i32.store offset=12 (local.get $field) (i32.const 16))
    (i32.store (local.get $field) (i32.const 32768))
    (i32.store offset=4 (local.get $field) (i32.const 32768))
    (local.set $field (i32.add (local.get $field) (i32.const 16)))
    (br_if $again (i32.lt_u (local.get $field) (i32.const 32768))))
  ;; 1,024 fields before 32768; each key is the upper half of the memory, which is zeros: good UTF-8.
  (call $log (i32.const 2) (i32.const 192) (i32.const 16) (i32.const 16384) (i32.const 1024))
  (i32.const 1024))
