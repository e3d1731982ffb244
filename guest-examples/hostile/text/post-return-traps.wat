;; Returns a good result, and traps when the host says that it has read it.
(func (export "after-run") (param i32) (unreachable))
;;; lift-run
(post-return (core func $main "after-run"))
