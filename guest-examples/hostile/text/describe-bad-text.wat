;; Describes a handler whose name is not UTF-8.
(data (i32.const 0) "\10\00\00\00\01\00\00\00")
(data (i32.const 16) "\80\00\00\00\04\00\00\00")
(data (i32.const 128) "\ff\fe\fd\fc")
(func (export "describe") (result i32) (i32.const 0))
