;; Asks about its task when it is asked for its handlers: there is no task.
;;; imports
(import "sunaba:task/host@0.1.0" (instance $host
  (export "is-cancelled" (func (result bool)))))
;;; lower
(core func $is-cancelled (canon lower (func $host "is-cancelled")))
;;; core-imports
(import "host" "is-cancelled" (func $is-cancelled (result i32)))
;;; instantiate
(with "host" (instance (export "is-cancelled" (func $is-cancelled))))
;;; main
(func (export "describe") (result i32)
  (drop (call $is-cancelled))
  (i32.const 0))
