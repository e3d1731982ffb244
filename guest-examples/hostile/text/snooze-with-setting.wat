;; Returns a snooze with a setting that this host does not know.
(data (i32.const 2100) "speed" "fast")
(data (i32.const 2048) "\34\08\00\00\05\00\00\00" "\39\08\00\00\04\00\00\00")
(data (i32.const 1032) "\02")
(data (i32.const 1040) "\01\00\00\00\00\00\00\00" "\00\00\00\00\00\00\00\00" "\00\08\00\00\01\00\00\00")
