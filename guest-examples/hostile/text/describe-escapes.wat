;; Describes a handler whose name would clear a terminal.
(data (i32.const 0) "\10\00\00\00\01\00\00\00")
(data (i32.const 16) "\80\00\00\00\0c\00\00\00")
(data (i32.const 128) "\1b[2J\1b]0;x\07y")
(func (export "describe") (result i32) (i32.const 0))
