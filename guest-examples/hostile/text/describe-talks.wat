;; Logs 20,000 lines when it is asked for its handlers, and describes itself well.
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
(func (export "describe") (result i32)
  (local $lines i32)
  (loop $again
    (call $log (i32.const 2) (i32.const 192) (i32.const 16) (i32.const 0) (i32.const 0))
    (br_if $again (i32.lt_u (local.tee $lines (i32.add (local.get $lines) (i32.const 1))) (i32.const 20000))))
  (i32.const 0))
(data (i32.const 0) "\10\00\00\00\01\00\00\00")
(data (i32.const 16) "\80\00\00\00\0e\00\00\00")
(data (i32.const 128) "describe-talks")
