;; Describes itself well, and traps when the host says that it has read that.
(func (export "after-describe") (param i32) (unreachable))
;;; lift-describe
(post-return (core func $main "after-describe"))
