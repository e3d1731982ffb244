;; Returns a media type that is not UTF-8.
(data (i32.const 196) "\ff\fe\fd")
