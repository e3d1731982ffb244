;; Describes no handler at all.
(func (export "describe") (result i32) (i32.const 512))
