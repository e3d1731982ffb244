;; Asks about its task in its start function: there is no task yet.
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
(func $start (drop (call $is-cancelled)))
(start $start)
