;; Describes a list of handlers that is longer than its memory.
(data (i32.const 0) "\10\00\00\00\ff\ff\ff\0f")
(func (export "describe") (result i32) (i32.const 0))
