;; What every package of handlers has around its core module. `cargo xtask guests` puts a guest's sections in place of
;; the lines that begin with three semicolons.
(component
  ;;; imports
  (component $package
    ;;; imports
    ;;; lower
    (core module $main
      ;;; main
    )
    (core instance $main (instantiate $main
      ;;; instantiate
    ))
    (alias core export $main "memory" (core memory $memory))
    (alias core export $main "realloc" (core func $realloc))

    ;; The records of wit/task.wit, under the names by which the interface exports them.
    (type $settings' (list (tuple string string)))
    (export $settings "settings" (type $settings'))
    (type $payload' (record (field "media-type" string) (field "bytes" (list u8))))
    (export $payload "payload" (type $payload'))
    (type $handler-info' (record
      (field "name" string) (field "doc" string)
      (field "input-schema" (option string)) (field "output-schema" (option string))
      (field "settings" $settings)))
    (export $handler-info "handler-info" (type $handler-info'))
    (type $package-info' (record (field "handlers" (list $handler-info)) (field "settings" $settings)))
    (export $package-info "package-info" (type $package-info'))
    (type $context' (record
      (field "task-id" string) (field "job-id" (option string)) (field "queue" string)
      (field "attempt" u32) (field "failures" u32) (field "max-attempts" u32)
      (field "submitted-at-ms" u64) (field "started-at-ms" u64) (field "deadline-ms" (option u64))
      (field "idempotency-key" (option string)) (field "attributes" $settings)))
    (export $context "context" (type $context'))
    (type $dependency' (record (field "name" string) (field "settings" $settings)))
    (export $dependency "dependency" (type $dependency'))
    (type $child' (record
      (field "name" string) (field "handler" string) (field "input" $payload)
      (field "after" (list $dependency)) (field "settings" $settings)))
    (export $child "child" (type $child'))
    (type $plan' (record (field "children" (list $child)) (field "join" (option string)) (field "settings" $settings)))
    (export $plan "plan" (type $plan'))
    (type $snooze' (record (field "delay-ms" u64) (field "reason" string) (field "settings" $settings)))
    (export $snooze "snooze" (type $snooze'))
    (type $outcome' (variant (case "complete" $payload) (case "decompose" $plan) (case "snooze" $snooze)))
    (export $outcome "outcome" (type $outcome'))
    (type $disposition' (variant (case "by-policy") (case "retry-after" u64) (case "fatal")))
    (export $disposition "disposition" (type $disposition'))
    (type $failure' (record
      (field "kind" string) (field "message" string) (field "detail" (option $payload))
      (field "disposition" $disposition) (field "settings" $settings)))
    (export $failure "failure" (type $failure'))

    (func $describe (result $package-info)
      (canon lift (core func $main "describe") (memory $memory) (realloc $realloc)
        ;;; lift-describe
      ))
    (func $run (param "context" $context) (param "handler" string) (param "input" $payload)
      (result (result $outcome (error $failure)))
      (canon lift (core func $main "run") (memory $memory) (realloc $realloc)
        ;;; lift-run
      ))
    (export "describe" (func $describe))
    (export "run" (func $run)))
  (instance $package (instantiate $package
    ;;; with
  ))
  (export "sunaba:task/handlers@0.1.0" (instance $package)))
