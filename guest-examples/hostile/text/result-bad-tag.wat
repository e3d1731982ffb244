;; Returns a result that is neither of its two cases.
(data (i32.const 1024) "\07")
