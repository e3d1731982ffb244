;; Has data that lies beyond its memory: it traps before any of its code runs.
(data (i32.const 65530) "beyond the end")
