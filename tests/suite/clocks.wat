;; A package with one handler, `h`, whose output is a number that `$body` gives, in eight bytes. What it imports, and does, is
;; filled in by the tests.
(component
  (import "{name}" (instance $asked {kind}))
  (component $package
    (import "{name}" (instance $asked {kind}))
    ;; Where a list goes that an import returns: always to the same place.
    (core module $lists
      (memory (export "memory") 2)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 2048)))
    (core instance $lists (instantiate $lists))
    (alias core export $lists "memory" (core memory $lists-memory))
    (alias core export $lists "realloc" (core func $lists-realloc))
    {lower}

    (core module $main
      {core}
      (memory (export "memory") 1)
      (global $free (mut i32) (i32.const 4096))

      ;; A `package-info` with one `handler-info`: name, doc, two absent schemas, no settings.
      (data (i32.const 0) "\10\00\00\00\01\00\00\00")
      (data (i32.const 16) "\80\00\00\00\01\00\00\00" "\81\00\00\00\01\00\00\00")
      (data (i32.const 128) "hd")
      (data (i32.const 160) "application/octet-stream")
      ;; `ok(complete(payload))`: the media type, and the eight bytes at 320.
      (data (i32.const 272) "\a0\00\00\00\18\00\00\00" "\40\01\00\00\08\00\00\00")

      (func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
        (local $place i32)
        (local.set $place (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
        (global.set $free (i32.add (local.get $place) (local.get $size)))
        (local.get $place))
      (func (export "describe") (result i32) (i32.const 0))
      (func $body (result i64) {body})
      (func (export "run") (param i32) (result i32)
        (i64.store (i32.const 320) (call $body))
        (i32.const 256)))
    (core instance $main (instantiate $main (with "i" (instance $lowered))))
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
      (canon lift (core func $main "describe") (memory $memory) (realloc $realloc)))
    (func $run (param "context" $context) (param "handler" string) (param "input" $payload)
      (result (result $outcome (error $failure)))
      (canon lift (core func $main "run") (memory $memory) (realloc $realloc)))
    (export "describe" (func $describe))
    (export "run" (func $run)))
  (instance $package (instantiate $package (with "{name}" (instance $asked))))
  (export "sunaba:task/handlers@0.1.0" (instance $package)))
