;; Traps when it is asked for its handlers.
(func (export "describe") (result i32) (unreachable))
