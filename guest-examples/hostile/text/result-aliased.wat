;; Returns a plan of 10,000 children that all have the same 32 KiB as their input: 320 MB for the host.
;; Each child is of 48 bytes, from 65536 on; each input is at 8192.
(memory (export "memory") 16)
(func (export "run") (param i32) (result i32)
  (local $child i32)
  (local.set $child (i32.const 65536))
  (loop $again
    (i32.store offset=16 (local.get $child) (i32.const 192))
    (i32.store offset=20 (local.get $child) (i32.const 16))
    (i32.store offset=24 (local.get $child) (i32.const 8192))
    (i32.store offset=28 (local.get $child) (i32.const 32768))
    (local.set $child (i32.add (local.get $child) (i32.const 48)))
    (br_if $again (i32.lt_u (local.get $child) (i32.const 545536))))
  (i32.store8 (i32.const 1032) (i32.const 1))
  (i32.store (i32.const 1040) (i32.const 65536))
  (i32.store (i32.const 1044) (i32.const 10000))
  (i64.store (i32.const 1048) (i64.const 0))
  (i64.store (i32.const 1056) (i64.const 0))
  (i32.const 1024))
