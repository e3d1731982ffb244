;; Describes two handlers of the same name.
(data (i32.const 0) "\10\00\00\00\02\00\00\00")
(data (i32.const 16) "\80\00\00\00\04\00\00\00")
(data (i32.const 64) "\80\00\00\00\04\00\00\00")
(data (i32.const 128) "twin")
(func (export "describe") (result i32) (i32.const 0))
