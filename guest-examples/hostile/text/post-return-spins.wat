;; Returns a good result, and never comes back when the host says that it has read it.
(func (export "after-run") (param i32) (loop $again (br $again)))
;;; lift-run
(post-return (core func $main "after-run"))
