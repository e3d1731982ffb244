;; Gives the host places at odd addresses.
(func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
  (i32.const 8193))
