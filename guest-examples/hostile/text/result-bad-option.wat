;; Returns a failure whose detail is neither there nor not there.
(data (i32.const 1024) "\01")
(data (i32.const 1040) "\00\00\00\00\00\00\00\00")
(data (i32.const 1056) "\09")
