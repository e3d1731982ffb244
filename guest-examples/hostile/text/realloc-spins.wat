;; Never answers when the host asks it for room.
(func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
  (loop $again (br $again))
  (unreachable))
