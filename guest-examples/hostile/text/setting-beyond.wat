;; Asks for more memory than 32 bits can address.
(data (i32.const 0) "\10\00\00\00\01\00\00\00")
(data (i32.const 16) "\80\00\00\00\0e\00\00\00")
;; Its settings: one pair, which is at 2048.
(data (i32.const 56) "\00\08\00\00\01\00\00\00")
(data (i32.const 2048) "\34\08\00\00\06\00\00\00" "\50\08\00\00\06\00\00\00")
(data (i32.const 2100) "memory")
(data (i32.const 2128) "900GiB")
(data (i32.const 128) "setting-beyond")
(func (export "describe") (result i32) (i32.const 0))
