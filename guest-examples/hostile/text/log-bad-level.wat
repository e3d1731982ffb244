;; Logs at a level that nobody has defined.
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
  (call $log (i32.const 77) (i32.const 192) (i32.const 16) (i32.const 0) (i32.const 0))
  (i32.const 1024))
