;; Takes memory in many pieces, each small enough for any limit that looks at one memory alone.
;;
;; Eight instances of `$hog` have a memory each; `run` grows them in turn by 1 MiB until the host has had enough.
;; Written in text, because a Rust component has one memory.
(component
  (component $package
    (core module $hog
      (memory 1)
      (func (export "grow") (result i32) (memory.grow (i32.const 16))))
    (core instance $hog0 (instantiate $hog))
    (core instance $hog1 (instantiate $hog))
    (core instance $hog2 (instantiate $hog))
    (core instance $hog3 (instantiate $hog))
    (core instance $hog4 (instantiate $hog))
    (core instance $hog5 (instantiate $hog))
    (core instance $hog6 (instantiate $hog))
    (core instance $hog7 (instantiate $hog))

    (core module $main
      (import "hogs" "0" (func $grow0 (result i32)))
      (import "hogs" "1" (func $grow1 (result i32)))
      (import "hogs" "2" (func $grow2 (result i32)))
      (import "hogs" "3" (func $grow3 (result i32)))
      (import "hogs" "4" (func $grow4 (result i32)))
      (import "hogs" "5" (func $grow5 (result i32)))
      (import "hogs" "6" (func $grow6 (result i32)))
      (import "hogs" "7" (func $grow7 (result i32)))
      (memory (export "memory") 1)
      (global $free (mut i32) (i32.const 4096))

      ;; A `package-info`: a list of one `handler-info`, which is at 16, and no settings.
      (data (i32.const 0) "\10\00\00\00\01\00\00\00")
      ;; The `handler-info`: name, doc, two absent schemas, no settings.
      (data (i32.const 16) "\80\00\00\00\0d\00\00\00" "\90\00\00\00\0e\00\00\00")
      (data (i32.const 128) "many-memories")
      (data (i32.const 144) "Never returns.")

      ;; Only the host's arguments come through here, and they are small.
      (func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
        (local $place i32)
        (local.set $place (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
        (global.set $free (i32.add (local.get $place) (local.get $size)))
        (local.get $place))

      (func (export "describe") (result i32) (i32.const 0))

      (func (export "run") (param i32) (result i32)
        (loop $again
          (drop (call $grow0)) (drop (call $grow1)) (drop (call $grow2)) (drop (call $grow3))
          (drop (call $grow4)) (drop (call $grow5)) (drop (call $grow6)) (drop (call $grow7))
          (br $again))
        (unreachable)))
    (core instance $main (instantiate $main
      (with "hogs" (instance
        (export "0" (func $hog0 "grow")) (export "1" (func $hog1 "grow"))
        (export "2" (func $hog2 "grow")) (export "3" (func $hog3 "grow"))
        (export "4" (func $hog4 "grow")) (export "5" (func $hog5 "grow"))
        (export "6" (func $hog6 "grow")) (export "7" (func $hog7 "grow"))))))
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
  (instance $package (instantiate $package))
  (export "sunaba:task/handlers@0.1.0" (instance $package)))
