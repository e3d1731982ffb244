;; Has an input schema with a pattern that other engines take exponential time for.
(data (i32.const 0) "\10\00\00\00\01\00\00\00")
(data (i32.const 16) "\80\00\00\00\0e\00\00\00" "\00\00\00\00\00\00\00\00"
  "\01\00\00\00" "\b8\0b\00\00" "\2b\00\00\00")
(data (i32.const 128) "schema-pattern")
(data (i32.const 3000) "{\22type\22: \22string\22, \22pattern\22: \22^(a+)+\5c\5c1$\22}")
(func (export "describe") (result i32) (i32.const 0))
