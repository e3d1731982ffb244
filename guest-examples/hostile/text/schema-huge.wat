;; Has an input schema of 100 KiB.
(memory (export "memory") 4)
(data (i32.const 0) "\10\00\00\00\01\00\00\00")
(data (i32.const 16) "\80\00\00\00\0b\00\00\00" "\00\00\00\00\00\00\00\00"
  "\01\00\00\00" "\00\00\01\00" "\00\90\01\00")
(data (i32.const 128) "schema-huge")
(func (export "describe") (result i32)
  (memory.fill (i32.const 65536) (i32.const 32) (i32.const 102400))
  (i32.const 0))
