;; Returns an output without a media type.
(data (i32.const 1044) "\00")
