;; Has a setting that nobody knows.
(data (i32.const 0) "\10\00\00\00\01\00\00\00")
(data (i32.const 16) "\80\00\00\00\0f\00\00\00")
;; Its settings: one pair, which is at 2048.
(data (i32.const 56) "\00\08\00\00\01\00\00\00")
(data (i32.const 2048) "\34\08\00\00\09\00\00\00" "\50\08\00\00\03\00\00\00")
(data (i32.const 2100) "unlimited")
(data (i32.const 2128) "yes")
(data (i32.const 128) "setting-unknown")
(func (export "describe") (result i32) (i32.const 0))
