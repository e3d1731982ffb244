;; Computes for ever in its start function, before anybody calls it.
(func $start (loop $again (br $again)))
(start $start)
